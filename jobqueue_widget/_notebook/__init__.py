"""The magics `%%job`, `%job` and `%jobs`: cells and calls of a notebook as jobs."""
