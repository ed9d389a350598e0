"""`python -m pixelpainter`: the same as the command `pixelpainter`."""

from pixelpainter.cli import main

if __name__ == "__main__":
    main()
