//! What is exported implements nothing.

struct Greeter;

hookyard_plugin::export!(Greeter, id = "com.example.greeter");

fn main() {}
