// Whole numbers as the reader's language writes them; made once, since a formatter is dear.

export const amount = new Intl.NumberFormat().format;
