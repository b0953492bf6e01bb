"""One module per noun of exchangectl, each exporting a click command of its own name."""
