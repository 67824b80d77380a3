import sys

from gitopsd.runner.main import main

if __name__ == "__main__":
    sys.exit(main())
