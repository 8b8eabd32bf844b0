"""The bench's formatter, on made-up figures. Part of `make check`; measures nothing."""

import os
import pathlib
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import sizes
import table


class Formatter(unittest.TestCase):
    def test_medians_ratio_and_mark(self):
        s = table.Samples("a.ms 3\na.ms 1\na.ms 2\nb.ms 10\nkernel 6.1.0-x\n")
        row = table.compare(s, "a; `b`", "a.ms", "b.ms", reach="1/8", most=1 / 8)
        self.assertEqual(row.cells(), ["a; `b`", "2.00 ms", "10.0 ms", "0.20", "1/8 (not reached)"])
        self.assertTrue(table.compare(s, "", "a.ms", "b.ms", most=1 / 8, extra=1).reached)
        self.assertEqual(s.words["kernel"], "6.1.0-x")

    def test_what_is_missing_is_said(self):
        rows = table.guest_rows(table.Samples(""))
        self.assertTrue(all(row.ours == table.NOT_MEASURED for row in rows))
        self.assertIn(table.NOT_MEASURED, table.markdown("none", rows))
        self.assertTrue(table.text("none", rows))

    def test_every_line_is_there_once_whatever_was_measured(self):
        names = set(re.findall(r'"([a-z]+\.[a-z_.]+|rtt)"', pathlib.Path(table.__file__).read_text()))
        names |= {f"switches.{when}.{what}" for when in ("first", "last") for what in ("anon", "fds")}
        names |= {f"soak.{when}.{what}" for when in ("hour", "day") for what in ("kb", "fds")} | {"idle.wakes.monitor", "idle.wakes.lease"}
        none, all_of_them = (table.guest_rows(table.Samples(text)) for text in ("", "".join(f"{name} 7\n" for name in names)))
        self.assertEqual(len(none), len(all_of_them))
        self.assertEqual([row.what for row in all_of_them if row.ours == table.NOT_MEASURED], [])
        words = [row.what for row in all_of_them]
        self.assertEqual(len(set(words)), len([w for w in words if not w.startswith("the same")]) + len({w for w in words if w.startswith("the same")}))

    def test_what_is_not_reached_says_what_it_would_take(self):
        row = table.Row("this; that", "9 s", "", None, "8 s", False, "a faster disk")
        self.assertIn("- this: a faster disk", table.markdown("none", [row]))
        self.assertIn("not reached: this: a faster disk", table.text("none", [row]))
        self.assertNotIn("Not reached", table.markdown("none", [table.Row("this", "7 s", reached=True)]))

    def test_a_part_measured_again_takes_the_place_of_the_earlier_one(self):
        old, new = "part a\nx 1\nx 2\npart b\ny 1\n", "part a\nx 3\n"
        self.assertEqual(table.merged(old, new), "part a\nx 3\npart b\ny 1\n")
        self.assertEqual(table.merged("", new), new)

    def test_a_document_keeps_what_is_around_the_marks(self):
        self.assertEqual(table.between("x <b> old <e> y", "<b>", "<e>", "new"), "x <b>\n\nnew\n<e> y")
        with self.assertRaises(ValueError):
            table.between("x <b> old", "<b>", "<e>", "new")

    def test_sizes_are_told_by_crate(self):
        text = """
Linker script and memory map
 .text._ZN4pvpn3cmd3run17h0123456789abcdefE
                0x0000000000400000      0x100 /tmp/pvpn.o
 .text._ZN66_$LT$rustls..Error$u20$as$u20$core..fmt..Debug$GT$3fmt17hE 0x0000000000400100 0x20 /tmp/pvpn.o
 .text._RNvNtCs1234_4core3fmt5write 0x0000000000400120 0x8 /tmp/pvpn.o
 .text          0x0000000000400200       0x10 /usr/lib/libc.a(printf.o)
"""
        self.assertEqual(sizes.by_crate(text), {"pvpn": 256, "rustls": 32, "std": 8, "C library": 16})


unittest.main(verbosity=0)
