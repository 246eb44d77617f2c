"""The rules of the built-in optimizers: one file per family, each rule written once for every backend."""
