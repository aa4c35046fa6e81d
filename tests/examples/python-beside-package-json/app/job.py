print("python it is")
