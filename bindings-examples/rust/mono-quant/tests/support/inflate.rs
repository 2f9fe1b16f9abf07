//! RFC 1951, as short as it can be said: a program takes a crate for this.

struct Bits<'a> {
    bytes: &'a [u8],
    place: usize, // in bits
}

impl Bits<'_> {
    fn bit(&mut self) -> usize {
        let bit = self.bytes[self.place / 8] >> (self.place % 8) & 1;
        self.place += 1;
        bit.into()
    }

    fn number(&mut self, count: usize) -> usize {
        (0..count).fold(0, |number, at| number | self.bit() << at)
    }
}

/// Codes of each length, in order: counts of codes by length, and the symbols sorted by code.
struct Code {
    counts: [usize; 16],
    symbols: Vec<usize>,
}

impl Code {
    fn new(lengths: &[usize]) -> Code {
        let mut counts = [0; 16];
        lengths.iter().filter(|length| **length > 0).for_each(|length| counts[*length] += 1);
        let of_length = |wanted| (0..lengths.len()).filter(move |symbol| lengths[*symbol] == wanted);
        Code { counts, symbols: (1..16).flat_map(of_length).collect() }
    }

    fn read(&self, bits: &mut Bits) -> usize {
        let (mut code, mut first, mut index) = (0, 0, 0);
        for count in &self.counts[1..] {
            code |= bits.bit();
            if code < first + count {
                return self.symbols[index + code - first];
            }
            index += count;
            first = (first + count) << 1;
            code <<= 1;
        }
        panic!("no such code");
    }
}

fn read_lengths(bits: &mut Bits) -> (Code, Code) {
    let (literals, distances, lengths) = (bits.number(5) + 257, bits.number(5) + 1, bits.number(4) + 4);
    let mut order = [0; 19];
    for place in &[16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15][..lengths] {
        order[*place] = bits.number(3);
    }
    let (code, mut all) = (Code::new(&order), Vec::new());
    while all.len() < literals + distances {
        let (length, times) = match code.read(bits) {
            16 => (*all.last().unwrap(), 3 + bits.number(2)),
            17 => (0, 3 + bits.number(3)),
            18 => (0, 11 + bits.number(7)),
            length => (length, 1),
        };
        all.extend(std::iter::repeat(length).take(times));
    }
    (Code::new(&all[..literals]), Code::new(&all[literals..]))
}

fn fixed_codes() -> (Code, Code) {
    let lengths: Vec<usize> =
        (0..288).map(|at| 8 + usize::from(at > 143 && at < 256) - usize::from(at > 255 && at < 280)).collect();
    (Code::new(&lengths), Code::new(&[5; 30]))
}

/// What the field of a length or a distance adds to its bits: RFC 1951, 3.2.5.
fn base(symbol: usize, step: usize, first: usize, bits: &mut Bits) -> usize {
    let extra = (symbol / step).saturating_sub(1);
    let start = if extra == 0 { symbol } else { (step + symbol % step) << extra };
    first + start + bits.number(extra)
}

fn copy_block(bits: &mut Bits, (literals, distances): (Code, Code), out: &mut Vec<u8>) {
    loop {
        match literals.read(bits) {
            256 => return,
            literal if literal < 256 => out.push(literal as u8),
            285 => repeat(258, distances.read(bits), bits, out),
            symbol => {
                let length = base(symbol - 257, 4, 3, bits);
                repeat(length, distances.read(bits), bits, out);
            }
        }
    }
}

fn repeat(length: usize, symbol: usize, bits: &mut Bits, out: &mut Vec<u8>) {
    let distance = base(symbol, 2, 1, bits);
    (0..length).for_each(|_| out.push(out[out.len() - distance]));
}

pub fn inflate(bytes: &[u8]) -> Vec<u8> {
    let (mut bits, mut out) = (Bits { bytes, place: 0 }, Vec::new());
    loop {
        let is_last = bits.bit() == 1;
        match bits.number(2) {
            0 => {
                let start = (bits.place + 7) / 8;
                let size = usize::from(u16::from_le_bytes([bytes[start], bytes[start + 1]]));
                out.extend(&bytes[start + 4..start + 4 + size]);
                bits.place = 8 * (start + 4 + size);
            }
            1 => copy_block(&mut bits, fixed_codes(), &mut out),
            _ => {
                let codes = read_lengths(&mut bits);
                copy_block(&mut bits, codes, &mut out);
            }
        }
        if is_last {
            return out;
        }
    }
}
