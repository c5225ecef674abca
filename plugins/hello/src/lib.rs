//! Says hello and what the instance is: the smallest plugin, and what `orderly plugin new` begins with.

use orderly_plugin::{Arguments, Command, Description, Failure, Outcome, Parameter, facts, log, report};

struct Hello;

impl Command for Hello {
    fn describe() -> Description {
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), "Says hello and what the instance is")
            .parameter(Parameter::text("name", "Whom to greet").default_value("world").pattern("[A-Za-z ]{1,40}"))
    }

    fn run(arguments: Arguments) -> Result<Outcome, Failure> {
        let name = arguments.text("name")?;
        let instance = facts::get();
        log::info(&greeting(name, &instance.hostname));
        report::fact("kernel", &instance.kernel)?;
        Ok(Outcome::pass(format!("greeted {name}")))
    }
}

orderly_plugin::export!(Hello);

fn greeting(name: &str, hostname: &str) -> String {
    format!("hello, {name}, from {hostname}")
}

#[cfg(test)]
mod tests {
    use super::greeting;

    #[test]
    fn a_greeting_names_both() {
        assert_eq!(greeting("world", "web-1"), "hello, world, from web-1");
    }
}
