import os

print("report by", os.getuid(), "in", os.getcwd())
with open("out.txt", "w") as file:
    file.write("written")
print("home is", os.environ["HOME"])
