fn main() {
    let mut buffer = itoa::Buffer::new();
    println!("{} words", buffer.format("to be built and run".split(' ').count()));
}
