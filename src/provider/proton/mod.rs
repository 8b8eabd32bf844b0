//! Proton VPN.

pub mod keys;
mod modulus;
mod password;
mod srp;
mod totp;
#[cfg(test)]
mod vectors;
