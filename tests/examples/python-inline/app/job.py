# /// script
# requires-python = ">=3.12"
# dependencies = [
#   "six==1.17.0",
# ]
# ///
import six

print(f"six {six.__version__}")
