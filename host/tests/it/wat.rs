//! Plugins written by hand, as small as they come: only the body of `run` differs.

/// Types of `orderly:plugin/command`, and the component around them.
///
/// `imports` is put before the core module, `wiring` are the core module's instantiation arguments, `core_imports` its
/// imports, `run` the body of `run`: it gets the list of arguments at `$at` with `$count` entries and answers the
/// address of a result; 128 is one that says "done".
pub(crate) fn plugin(imports: &str, wiring: &str, core_imports: &str, run: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
  {imports}
  (core module $memory
    (memory (export "memory") 1)
    (global $next (mut i32) (i32.const 16384))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.set $next (i32.add (local.get $at) (local.get 3)))
      (local.get $at)))
  (core instance $memory (instantiate $memory))
  (alias core export $memory "memory" (core memory $mem))
  (alias core export $memory "realloc" (core func $realloc))
  {wiring}
  (core module $main
    (import "memory" "memory" (memory 1))
    {core_imports}
    (data (i32.const 64) "\10\02\00\00\05\00\00\00\20\02\00\00\05\00\00\00\30\02\00\00\04\00\00\00\00\00\00\00\00\00\00\00")
    (data (i32.const 528) "probe")
    (data (i32.const 544) "1.0.0")
    (data (i32.const 560) "test")
    (data (i32.const 128) "\00\00\00\00\00\00\00\00\30\03\00\00\04\00\00\00\00\00\00\00\00\00\00\00")
    (data (i32.const 816) "done")
    (data (i32.const 1024) "hello, file")
    (func (export "describe") (result i32) (i32.const 64))
    (func (export "run") (param $at i32) (param $count i32) (result i32) {run}))
  (core instance $main (instantiate $main
    (with "memory" (instance $memory))
    (with "host" (instance (export "none" (memory $mem)) {host}))))
  (type $kind' (enum "text" "integer" "boolean"))
  (type $parameter' (record (field "name" string) (field "kind" $kind') (field "description" string)
    (field "default-value" (option string)) (field "pattern" (option string)) (field "allowed" (list string))))
  (type $description' (record (field "name" string) (field "version" string) (field "summary" string) (field "parameters" (list $parameter'))))
  (type $argument' (record (field "name" string) (field "value" string)))
  (type $verdict' (enum "pass" "attention"))
  (type $outcome' (record (field "verdict" $verdict') (field "summary" string)))
  (type $failure' (variant (case "invalid-parameter" (tuple string string)) (case "not-applicable" string) (case "denied" string) (case "failed" string)))
  (func $describe (result $description')
    (canon lift (core func $main "describe") (memory $mem) (realloc $realloc)))
  (func $run (param "arguments" (list $argument')) (result (result $outcome' (error $failure')))
    (canon lift (core func $main "run") (memory $mem) (realloc $realloc)))
  (component $shape
    (type $kind' (enum "text" "integer" "boolean"))
    (import "import-kind" (type $kind (eq $kind')))
    (type $parameter' (record (field "name" string) (field "kind" $kind) (field "description" string)
      (field "default-value" (option string)) (field "pattern" (option string)) (field "allowed" (list string))))
    (import "import-parameter" (type $parameter (eq $parameter')))
    (type $description' (record (field "name" string) (field "version" string) (field "summary" string) (field "parameters" (list $parameter))))
    (import "import-description" (type $description (eq $description')))
    (type $argument' (record (field "name" string) (field "value" string)))
    (import "import-argument" (type $argument (eq $argument')))
    (type $verdict' (enum "pass" "attention"))
    (import "import-verdict" (type $verdict (eq $verdict')))
    (type $outcome' (record (field "verdict" $verdict) (field "summary" string)))
    (import "import-outcome" (type $outcome (eq $outcome')))
    (type $failure' (variant (case "invalid-parameter" (tuple string string)) (case "not-applicable" string) (case "denied" string) (case "failed" string)))
    (import "import-failure" (type $failure (eq $failure')))
    (import "import-describe" (func $describe (result $description)))
    (import "import-run" (func $run (param "arguments" (list $argument)) (result (result $outcome (error $failure)))))
    (export $kind2 "parameter-type" (type $kind'))
    (type $parameter2' (record (field "name" string) (field "kind" $kind2) (field "description" string)
      (field "default-value" (option string)) (field "pattern" (option string)) (field "allowed" (list string))))
    (export $parameter2 "parameter" (type $parameter2'))
    (type $description2' (record (field "name" string) (field "version" string) (field "summary" string) (field "parameters" (list $parameter2))))
    (export $description2 "description" (type $description2'))
    (export $argument2 "argument" (type $argument'))
    (export $verdict2 "verdict" (type $verdict'))
    (type $outcome2' (record (field "verdict" $verdict2) (field "summary" string)))
    (export $outcome2 "outcome" (type $outcome2'))
    (export $failure2 "failure" (type $failure'))
    (export "describe" (func $describe) (func (result $description2)))
    (export "run" (func $run) (func (param "arguments" (list $argument2)) (result (result $outcome2 (error $failure2))))))
  (instance $command (instantiate $shape
    (with "import-kind" (type $kind')) (with "import-parameter" (type $parameter')) (with "import-description" (type $description'))
    (with "import-argument" (type $argument')) (with "import-verdict" (type $verdict')) (with "import-outcome" (type $outcome'))
    (with "import-failure" (type $failure')) (with "import-describe" (func $describe)) (with "import-run" (func $run))))
  (export "orderly:plugin/command@0.1.0" (instance $command)))"#,
        host = if core_imports.contains("\"log\"") { "(export \"log\" (func $log))" } else { "" },
    );
    wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"))
}

/// A plugin without any import.
pub(crate) fn plain(run: &str) -> Vec<u8> {
    plugin("", "", "", run)
}

/// A plugin that imports `log`, callable as `$log` with level, address and length.
pub(crate) fn logging(run: &str) -> Vec<u8> {
    let imports = r#"(import "orderly:plugin/log@0.1.0" (instance $log
      (type $level' (enum "debug" "info" "warn" "error"))
      (export "level" (type $level (eq $level')))
      (export "write" (func (param "level" $level) (param "message" string)))))"#;
    let wiring = r#"(core func $log (canon lower (func $log "write") (memory $mem)))"#;
    plugin(imports, wiring, r#"(import "host" "log" (func $log (param i32 i32 i32)))"#, run)
}

/// A plugin that imports an interface that holds one function of no consequence.
pub(crate) fn importing(interface: &str) -> Vec<u8> {
    let imports = format!(r#"(import "{interface}" (instance (export "get" (func (result u32)))))"#);
    plugin(&imports, "", "", "(i32.const 128)")
}
