"""`python -m infra` is `footstream`: how the supervisor starts the roles, whatever is on the PATH."""

from infra.cli import main

if __name__ == "__main__":
    main()
