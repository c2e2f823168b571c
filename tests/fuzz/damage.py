"""Damage that files come to, and that people do to them."""

import random

NASTY = (b'\0', b'\xff' * 8, b'\xff\xff\xff\x7f', b'\0\0\0\x80', b'%s', b'\n' * 50, b'\xed\xa0\x80')


def damage(content: bytes, rng: random.Random) -> bytes:
    """Change a file in one to four places: bits, bytes, lengths, cuts, repetitions."""
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if not data:
            break
        place = rng.randrange(min(len(data), 200) if rng.random() < 0.5 else len(data))
        kind = rng.randrange(7)
        if kind == 0:
            data[place] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[place] = rng.randrange(256)
        elif kind == 2:
            data[place : place + 4] = rng.choice(
                (b'\xff\xff\xff\xff', b'\x7f\xff\xff\xff', b'\0' * 4)
            )
        elif kind == 3:
            del data[place:]
        elif kind == 4:
            del data[place : place + rng.randint(1, 40)]
        elif kind == 5:
            data[place:place] = rng.choice(NASTY)
        else:
            data[place:place] = data[place : place + rng.randint(1, 200)] * rng.randint(1, 20)
    return bytes(data)
