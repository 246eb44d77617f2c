"""The figures that the README quotes: `python -m bench`. See `bench/README.md` for what each is and is not."""
