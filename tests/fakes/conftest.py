import sys
from pathlib import Path

# The fakes are importable as `tests.fakes...` however pytest is started.
_ROOT = str(Path(__file__).parents[2])
if _ROOT not in sys.path:
    sys.path.insert(0, _ROOT)
