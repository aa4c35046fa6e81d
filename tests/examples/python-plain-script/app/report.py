import os
from pathlib import Path

Path.home().joinpath("out.txt").write_text("the home directory is the job's own")
print("report by", os.getuid(), "in", Path.cwd())
print("home is", os.environ["HOME"])
