//! Takes secrets out of the process's own argument strings, which everyone may read as `/proc/PID/cmdline`. The kernel
//! shows the memory between `arg_start` and `arg_end` (proc(5), /proc/PID/stat), so that memory itself is overwritten.
//!
//! Called first of all in `main`, after argv was copied and before any thread is started.

use std::io;

/// Overwrites the values of these flags (long names without `--`), in `--flag V` and in `--flag=V`. A value is left
/// as one `*` and zeros, so that its length is not told either; a lone `-` stays.
pub fn wipe<'a>(flags: impl Iterator<Item = &'a str> + Clone) -> io::Result<()> {
    let stat = std::fs::read("/proc/self/stat")?;
    let (start, end) =
        bounds(&stat).ok_or_else(|| io::Error::other("/proc/self/stat has no argument bounds"))?;
    if start == 0 || end <= start {
        return Err(io::Error::other("/proc/self/stat hides the argument bounds"));
    }
    // SAFETY: the kernel placed the argument strings at [start, end) on the initial stack, which stays mapped and
    // writable for the life of the process. Rust's std copies them on every call of `env::args_os` and lends out no
    // reference, and no other thread exists yet (see the header).
    let args = unsafe { std::slice::from_raw_parts_mut(start as *mut u8, end - start) };
    wipe_values(args, flags);
    Ok(())
}

/// Fields 48 and 49 of /proc/PID/stat; the second field, in parentheses, may hold anything.
fn bounds(stat: &[u8]) -> Option<(usize, usize)> {
    let after_name = stat.iter().rposition(|b| *b == b')')?;
    let rest = std::str::from_utf8(stat.get(after_name + 1..)?).ok()?;
    // The first field behind the name is the third.
    let mut fields = rest.split_ascii_whitespace().skip(48 - 3);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

fn wipe_values<'a>(args: &mut [u8], flags: impl Iterator<Item = &'a str> + Clone) {
    let mut is_value = false;
    for arg in args.split_mut(|b| *b == 0) {
        if std::mem::take(&mut is_value) {
            wipe_one(arg);
            continue;
        }
        let Some(name) = arg.strip_prefix(b"--") else { continue };
        let (name, has_value) = match name.iter().position(|b| *b == b'=') {
            Some(at) => (&name[..at], true),
            None => (name, false),
        };
        if flags.clone().any(|f| f.as_bytes() == name) {
            let behind = 2 + name.len() + 1;
            match has_value {
                true => wipe_one(&mut arg[behind..]),
                false => is_value = true,
            }
        }
    }
}

fn wipe_one(value: &mut [u8]) {
    if value == b"-" {
        return;
    }
    for (n, byte) in value.iter_mut().enumerate() {
        // SAFETY: a valid exclusive reference; volatile, because nothing of this program reads the bytes again.
        unsafe { std::ptr::write_volatile(byte, if n == 0 { b'*' } else { 0 }) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wiped(args: &str) -> String {
        let mut bytes = args.replace(' ', "\0").into_bytes();
        wipe_values(&mut bytes, ["pia-pass", "qb-pass"].into_iter());
        String::from_utf8(bytes).unwrap().replace('\0', " ")
    }

    #[test]
    fn values_of_secret_flags_are_overwritten_in_both_spellings() {
        assert_eq!(wiped("pvpn init --pia-pass secret --qb "), "pvpn init --pia-pass *      --qb ");
        assert_eq!(wiped("pvpn --qb-pass=se=cret --pia-user me"), "pvpn --qb-pass=*       --pia-user me");
        assert_eq!(wiped("--pia-pass a --pia-pass=bc"), "--pia-pass * --pia-pass=* ");
        assert_eq!(wiped("pvpn --pia-pass"), "pvpn --pia-pass");
        assert_eq!(wiped("--pia-pass= --qb-pass - x"), "--pia-pass= --qb-pass - x");
        assert_eq!(wiped("--pia-passs x --lan y"), "--pia-passs x --lan y");
    }

    #[test]
    fn the_bounds_stand_behind_a_name_that_may_hold_anything() {
        let mut fields: Vec<String> = (3..=52).map(|n| n.to_string()).collect();
        fields[0] = "S".into();
        let stat = format!("1 (a) b) {}\n", fields.join(" "));
        assert_eq!(bounds(stat.as_bytes()), Some((48, 49)));
        assert_eq!(bounds(b"1 (a) S 1"), None);
        assert_eq!(bounds(b""), None);
    }

    #[test]
    fn the_real_bounds_hold_the_real_arguments() {
        let stat = std::fs::read("/proc/self/stat").unwrap();
        let (start, end) = bounds(&stat).unwrap();
        let cmdline = std::fs::read("/proc/self/cmdline").unwrap();
        assert_eq!(end - start, cmdline.len());
    }
}
