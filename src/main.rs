//! The command line: parse argv, set up the log, run one command, say what went wrong in one line.

use pvpn::cmd;
use pvpn::error::{Error, Exit};
use pvpn::{cli, logging};
use std::env;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    pvpn::sys::memory::keep_small();
    pvpn::sys::memory::keep_private();
    let exit = match run() {
        Ok(exit) => exit,
        Err(e) => {
            // Standard error may be closed; there is nobody else to tell.
            let advice = e.advice().map(|text| format!("; {text}")).unwrap_or_default();
            let _ = writeln!(io::stderr(), "pvpn: {e}{advice}");
            e.exit()
        }
    };
    ExitCode::from(exit.code())
}

fn run() -> Result<Exit, Error> {
    let invocation = cli::parse(env::args_os().skip(1));
    pvpn::sys::argv::wipe(cli::spec::secret_flags())?;
    let invocation = invocation?;
    logging::init_command(invocation.global.verbose, invocation.global.quiet);
    cmd::run(invocation)
}
