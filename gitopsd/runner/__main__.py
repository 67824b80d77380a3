import sys
from pathlib import Path

# libraries/NAME/ of the release, of which it has those that its jobs need
sys.path.extend(sorted(str(path) for path in Path(__file__).resolve().parents[2].glob("libraries/*")))

from gitopsd.runner.main import main

if __name__ == "__main__":
    sys.exit(main())
