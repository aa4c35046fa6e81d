Gem::Specification.new do |spec|
  spec.name = "lines"
  spec.version = "1.0.0"
  spec.summary = "Counts lines"
  spec.authors = ["Acme"]
  spec.files = ["lib/lines.rb"]
end
