"""`python -m suffice` is the `suffice` command."""

from suffice.cli import main

if __name__ == "__main__":
    main()
