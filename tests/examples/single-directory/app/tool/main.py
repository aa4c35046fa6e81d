import six

print("inside", six.__name__)
