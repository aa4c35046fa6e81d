require "json"
require "lines"

REPORT = { lines: Lines.count("one\ntwo\nthree\n") }

puts JSON.generate(REPORT)
