import sys

import six

print(f"nightly on {sys.version_info.minor}, six {six.__version__}")
