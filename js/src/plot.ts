// The script that a page asks for when it draws its first curve: uPlot, as we need it.

export { default } from "uplot";
