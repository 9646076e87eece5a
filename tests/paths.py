"""Where tests find things that are not in the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Specifications, conformance cases and the corpus; they lie beside the checkout and may be absent.
SHARED = ROOT.parent / "shared"
EXAMPLES = ROOT / "examples"
