import sys
from pathlib import Path

# libraries/NAME/ of the release, of which it has those that its jobs need. They come before what is installed on the
# worker, which may be another version of the same.
sys.path[1:1] = sorted(str(path) for path in Path(__file__).resolve().parents[2].glob("libraries/*"))

from gitopsd.runner.main import main  # noqa: E402 -- it imports from there

if __name__ == "__main__":
    sys.exit(main())
