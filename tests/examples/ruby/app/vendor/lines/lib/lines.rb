module Lines
  def self.count(text) = text.lines.size
end
