"""Bytes of the binary by crate, from GNU ld's map."""

import re

# A section of its own: `.text.NAME` and, in the same or in the next line, address, size and file.
SECTION = re.compile(r"^ \.(text|rodata|data|data\.rel\.ro|bss)(\.\S+)?\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+(\S+)", re.M)
V0 = re.compile(r"C(?:s[0-9A-Za-z]*_)?(\d+)")
STANDARD = {"core", "alloc", "std", "hashbrown", "memchr", "addr2line", "gimli", "miniz_oxide", "rustc_demangle", "compiler_builtins", "object"}

PRIMITIVES = {"bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128", "isize", "f32", "f64"}


def crate_of(symbol):
    """The crate that a mangled name begins with (legacy or v0 mangling), `None` for names of C."""
    legacy = re.match(r"_ZN(\d+)", symbol)
    if legacy:
        path = symbol[legacy.end() : legacy.end() + int(legacy[1])]
        words = [w for w in re.split(r"\$[A-Za-z0-9]+\$|\.\.|[^A-Za-z0-9_]", path.lstrip("_")) if w]
        return next((w for w in words if w not in ("dyn", "mut", "as")), None)
    if symbol.startswith("_R"):
        for found in V0.finditer(symbol):
            name = symbol[found.end() :].lstrip("_")[: int(found[1])]
            if name:
                return name
    return None


def by_crate(text):
    """{crate: bytes} of a map, sections that are left out excepted."""
    _, _, text = text.partition("Linker script and memory map")
    sizes = {}
    # ld breaks the line after a long name.
    for kind, name, size, file in SECTION.findall(re.sub(r"^( \.\S+)\n\s+0x", r"\1 0x", text, flags=re.M)):
        if kind == "bss":
            continue
        symbol = re.sub(r"^\.(unlikely\.|hot\.|startup\.)?", "", name)
        crate = crate_of(symbol)
        if crate is None:
            archive = file.rsplit("/", 1)[-1]
            crate = "ring" if "ring" in archive or "ring" in name else "C library" if re.search(r"lib(c|m|gcc|gcc_eh|pthread)\.a|crt", archive) else "constants"
        # Implementations for a type parameter or a primitive are the standard library's.
        is_generic = crate.islower() is False and len(crate) == 1 or crate in PRIMITIVES
        crate = "std" if crate in STANDARD or is_generic else crate
        sizes[crate] = sizes.get(crate, 0) + int(size, 16)
    return sizes
