"""The bench's formatter, on made-up figures. Part of `make check`; measures nothing."""

import os
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
        self.assertTrue(all(row.ours == "not measured" for row in rows))
        self.assertIn("not measured", table.markdown("none", rows))
        self.assertTrue(table.text("none", rows))

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
