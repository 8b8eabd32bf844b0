//! Published vectors of Proton's SRP. The first exchange: ProtonMail/go-srp `srp_test.go`, user `jakubqa`, password
//! `abc123`. The second: a recorded `/auth/info` of hatemosphere/protonvpn-wg-confgen.

/// Base64 of N, little-endian.
pub const FIRST_MODULUS: &str = concat!(
    "W2z5HBi8RvsfYzZTS7qBaUxxPhsfHJFZpu3Kd6s1JafNrCCH9rfvPLrfuqocxWPgWDH2R8neK7PkNvjxto9TStuY5z7jAzWRvFWN",
    "9cQhAKkdWgy0JY6ywVn22+HFpF4cYesHrqFIKUPDMSSIlWjBVmEJZ/MusD44ZT29xcPrOqeZvwtCffKtGAIjLYPZIEbZKnDM1Dm3",
    "q2K/xS5h+xdhjnndhsrkwm9U9oyA2wxzSXFL+pdfj2fOdRwuR5nW0J2NFrq3kJjkRmpO/Genq1UW+TEknIWAb6VzJJJA244K/H8c",
    "nSx2+nSNZO3bbo6Ys228ruV9A8m6DhxmS+bihN3ttQ==",
);

pub const FIRST_SIGNATURE: &str = "\
wl4EARYIABAFAlwB1j0JEDUFhcTpUY8mAAD8CgEAnsFnF4cF0uSHKkXa1GIa\n\
GO86yMV4zDZEZcDSJo0fgr8A/AlupGN9EdHlsrZLmTA1vhIx+rOgxdEff28N\n\
kvNM7qIK\n\
=q6vu";

/// Base64 of B.
pub const FIRST_EPHEMERAL: &str = concat!(
    "l13IQSVFBEV0ZZREuRQ4ZgP6OpGiIfIjbSDYQG3Yp39FkT2B/k3n1ZhwqrAdy+qvPPFq/le0b7UDtayoX4aOTJihoRvifas8Hr3i",
    "cd9nAHqd0TUBbkZkT6Iy6UpzmirCXQtEhvGQIdOLuwvy+vZWh24G2ahBM75dAqwkP961EJMh67/I5PA5hJdQZjdPT5luCyVa7BS1",
    "d9ZdmuR0/VCjUOdJbYjgtIH7BQoZs+KacjhUN8gybu+fsycvTK3eC+9mCN2Y6GdsuCMuR3pFB0RF9eKae7cA6RbJfF1bjm0nNfWL",
    "XzgKguKBOeF3GEAsnCgK68q82/pq9etiUDizUlUBcA==",
);

/// Base64 of the hashed password.
pub const FIRST_HASHED: &str = concat!(
    "UHwyXL718YTYWiTYh8/LPLSBa7DgezL5QJXZEgzEeeomD0Mf62Zu6qNkQj0z/sDxf3fIGTn0U8gk4jWCBLMnmY5jPwvTX63SyvmW",
    "pF6LiMhWvz6bUZh+5z/hGQiI/YdRE4DW+2PXAmnGQJZ1MgTouDnLLavGuvSrC0qzzI37QNUDyAtFWwrXwbNqhpWUa1PQDJ+gHpQj",
    "nCXa7dVlpj5TQbDvPEZ9JrA7c37TopINerrBmU/jhcPUFp8EHwsScuRxxDBXIkYBP1gIVTtJSTPLXWKJlrdqNzHuJXxOrpeOiDju",
    "IDFhWK2v/gXbyfwp53ph80VPd3eRPQWpCkO3iqKWUg==",
);

/// Base64 of A, for the secret of [`secret`].
pub const FIRST_CLIENT_EPHEMERAL: &str = concat!(
    "niilHPIPkMgG497wc6srpsIZZGl+ufHUW5N+0gqSVP1i1MwgeTq4OO42QNe0pk1Scxt/zgle5UtBbR2vTyUIWaMBRC1US8IYtc6B",
    "pRTVAKL74K7ZNjAfFLioxZkwIOrNrTeOw/aENtUQY0fDO5d7AuSkeTwNYJTDg4cBT+YxaeHqVgvJodtEno9i60QuPP0I1oDNGhMM",
    "jjzLMgZVh75BFpMwtQmS32com9x1LiauPPM03Li5hQN5zyyQFwV8XenHhgsDALy9/JdO2wvuigKj5VXlvQ2jPeYW8RAjy65SbIju",
    "BBo6UnC4JUwkILT31GWyj6xBhr9dwiyWEsViAhiXQw==",
);

/// Base64 of M1.
pub const FIRST_CLIENT_PROOF: &str = concat!(
    "gx/VhH43XnP2GF1vnk4ppRwkGQNqIUTwBhyisXq/rqiFYs93KpUTHIGUryOq+yrswzmxHLQxamIls7VAIrSHjwL0XKPdN4dgqKKJ",
    "vUgcIj4dDQf4AvasH2feEyicraqqZIYnLA6xXjjl02Y0uFBPnaxIqRpdgrpCu1L6cUL2m8hvihjqlFNZpDL88r4Xs3ad8PiEs2VF",
    "Th/WVx8E/XJhuAsUTfxFzombAI09JZogYX0lL9Lk6vgr0d/czxYA1Pr7uYHtyZA5YdOSpILjQfzzxaZj87BCJ1LrQtDHKOeuMDYd",
    "6yHb/5oFplXCCvbXRBQc2rTxsGkNEq+YQTatcN7y6A==",
);

/// Base64 of M2.
pub const FIRST_SERVER_PROOF: &str = concat!(
    "ZkN87Hu7Xd7crfabxHQIvsMlVoFdCcfVj7AU1QYutAatvKJOH3YCXNxTL0rqEtiUOB5Wu1xls+2eJ0aWt1zJpVrS0S0KSuxG646x",
    "TaDt4ipVrLD/tz9td92CE0SPYb1uDVVqED/VT1XeQJckZlL9Q00Tg68eX0FRDXHY8R5v0xvffWuVSE5/d99tffMsh85UYb1j7M2t",
    "PgsCm2Bf8IKnk14UrX80RmsdQW+goLtU5i+hoTSZfntszCytvEAOyYHHhbXVVFqK4wxULuJSov9axbppspogmPMs2/IvkduMS0hU",
    "qGr5QxSUC/VR8Qe1zesRrWzIEwsreKjBZ1hZ5eV0Cw==",
);

pub const SECOND_MESSAGE: &str = "\
-----BEGIN PGP SIGNED MESSAGE-----\n\
Hash: SHA256\n\
\n\
c00y4GQlEtYAgtXho3MKLFzplReRdz+dn0zY4UOxq1ZHgyF4PdBslyeI7bb2FSpYBelVh2nkTAtlgbz6rOYX8NTI8GeohXt9/APsTuBb8TyThVRPsXqj1GMe3qfsUU5Ov86KS6KpTEaiRb80vtdXTMfmyMFm2DNnHVVdOr+kWFIN4LiIWGU1/8UiBc14/33rq9iP5XO6aqkln+Ysau22ySDp+ou3S+x2IeD8XTJfJPnPMxClG5TBTC5hhKGUbreysBfX8a67HlKjB8cDZHlA38NZDb6omtRIbaVMvBGHQrfm93nk7IiAuNfnCOh9LagRxtTtWlSaVN9QnILYuV0B3w==\n\
-----BEGIN PGP SIGNATURE-----\n\
Version: ProtonMail\n\
Comment: https://protonmail.com\n\
\n\
wl4EARYIABAFAlwB1j0JEDUFhcTpUY8mAAAqTQEA8wiHwp3u2+LcKafhKgdJ\n\
0wavG9og4xVIkRDiwO9cQS8BAN11A+VAF7s9u9gKU6HtCENEiBWXMxcpuMJI\n\
sZTJdrQF\n\
=nVVU\n\
-----END PGP SIGNATURE-----\n";

/// Base64 of B.
pub const SECOND_EPHEMERAL: &str = concat!(
    "fRg43rjKIS23iqCbyABhJBsvmm74l6slfqkzI713qKwj3Tdyw/WcsNKbdddDWrZzxAbIHW2gSZI9H/Zjlh/MsDZTxEX6ffnkT2ih",
    "mJwRNEIlk6MwD4z5Vylgx3vjrugcALpdUIjrB5MONxWlzIDiYp36gag0K5W30AfgD+AuQ2HBALUHahdcgbqXafi6nntBSElvA364",
    "c0gInWdImuO+e6gOvYmbCQHfCHwBbUiCvNGXV2B41HLrfvwaXtgPs2Q+GPT0g4L0J94SHUJ8Fgabn9gLM97GhEQ+icdeOP/Ir+Rm",
    "yjdzNAt2d5943p4L1G+SEy3m48DVpaJiYc14HsOobQ==",
);

/// The secret of both exchanges: `01 02 .. ff 00`, big-endian.
pub fn secret() -> [u8; 256] {
    // Truncation is the definition: byte i is (i + 1) mod 256.
    std::array::from_fn(|i| (i + 1) as u8)
}
