//! The lines of a text file, lent out of one buffer.
//!
//! A line can be looked at before it is taken, and so can those after it, which is what a record
//! over several lines needs. Lines end at `\n`; a `\r` before it is not part of the line. A byte
//! order mark at the start of the file is left out. No line makes the buffer grow beyond a line's
//! limit: a longer one is seen as its beginning, and the rest is passed over.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::{open_bytes, read_error};
use crate::error::Error;

/// A text file that is read line by line.
pub struct Lines {
    path: PathBuf,
    reader: Box<dyn Read + Send>,
    buffer: Vec<u8>,
    start: usize,
    filled: usize,
    is_read: bool,
    line_bytes_max: usize,
}

/// A line that begins some bytes after the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its bytes, without the line's end.
    pub length: usize,
    /// From its first byte to that of the next line.
    pub step: usize,
    /// Whether this is all of it; otherwise it is longer than the limit.
    pub is_whole: bool,
}

impl Lines {
    const READ_BYTES: usize = 1 << 18;

    /// Opens a file, packed or not.
    ///
    /// # Errors
    /// As [`super::open`].
    pub fn open(path: &Path, line_bytes_max: usize) -> Result<Lines, Error> {
        let reader = open_bytes(path)?;
        let mut lines = Lines {
            path: path.to_owned(),
            reader,
            buffer: Vec::new(),
            start: 0,
            filled: 0,
            is_read: false,
            line_bytes_max,
        };
        while lines.filled < 3 && lines.fill()? {}
        if lines.unread().starts_with(b"\xef\xbb\xbf") {
            lines.start = 3;
        }
        Ok(lines)
    }

    /// The line that begins `from` bytes after the cursor; `None` at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read, or its packed form is cut off or damaged.
    pub fn line(&mut self, from: usize) -> Result<Option<Line>, Error> {
        let mut searched = from;
        loop {
            let unread = self.unread();
            if let Some(at) = find_line_end(&unread[searched..]) {
                let end = searched + at;
                let is_dos = end > from && unread[end - 1] == b'\r';
                let length = end - from - usize::from(is_dos);
                return Ok(Some(self.limited(length, end - from + 1)));
            }
            searched = unread.len();
            if searched - from > self.line_bytes_max + 1 {
                return Ok(Some(self.limited(searched - from, searched - from)));
            }
            if !self.fill()? {
                let length = self.unread().len() - from;
                return Ok((length > 0).then(|| self.limited(length, length)));
            }
        }
    }

    /// Bytes after the cursor; they have been part of a [`Line`].
    pub fn bytes(&self, from: usize, length: usize) -> &[u8] {
        &self.unread()[from..from + length]
    }

    /// Moves the cursor over lines that were looked at.
    pub fn advance(&mut self, bytes: usize) {
        self.start += bytes;
        debug_assert!(self.start <= self.filled);
    }

    /// Moves the cursor to the line after the one it is in; returns the bytes passed over.
    ///
    /// # Errors
    /// As [`Lines::line`].
    pub fn pass(&mut self) -> Result<usize, Error> {
        let mut passed = 0;
        loop {
            let unread = self.unread();
            let (step, is_end) = match find_line_end(unread) {
                Some(at) => (at + 1, true),
                None => (unread.len(), false),
            };
            passed += step;
            self.start += step;
            if is_end || !self.fill()? {
                return Ok(passed);
            }
        }
    }

    fn limited(&self, length: usize, step: usize) -> Line {
        if length <= self.line_bytes_max {
            return Line { length, step, is_whole: true };
        }
        Line { length: self.line_bytes_max, step: self.line_bytes_max, is_whole: false }
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.filled]
    }

    /// Reads on; false at the end of the file.
    fn fill(&mut self) -> Result<bool, Error> {
        if self.is_read {
            return Ok(false);
        }
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.filled, 0);
            self.filled -= self.start;
            self.start = 0;
        }
        if self.buffer.len() < self.filled + Lines::READ_BYTES {
            self.buffer.resize(self.filled + Lines::READ_BYTES, 0);
        }
        let read = loop {
            match self.reader.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => break other.map_err(read_error(&self.path))?,
            }
        };
        self.filled += read;
        self.is_read = read == 0;
        Ok(read > 0)
    }
}

/// The index of the first line end; 32 bytes at a time, which compiles to vector comparisons.
fn find_line_end(bytes: &[u8]) -> Option<usize> {
    let is_end = |&byte: &u8| byte == b'\n';
    let mut chunks = bytes.chunks_exact(32);
    let mut passed = 0;
    for chunk in chunks.by_ref() {
        if chunk.iter().fold(false, |found, byte| found | is_end(byte)) {
            return chunk.iter().position(is_end).map(|at| passed + at);
        }
        passed += 32;
    }
    chunks.remainder().iter().position(is_end).map(|at| passed + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &[u8], line_bytes_max: usize) -> Vec<(Vec<u8>, bool)> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("lines");
        std::fs::write(&path, text).expect("written");
        let mut lines = Lines::open(&path, line_bytes_max).expect("opened");
        let mut found = Vec::new();
        while let Some(line) = lines.line(0).expect("read") {
            found.push((lines.bytes(0, line.length).to_vec(), line.is_whole));
            match line.is_whole {
                true => lines.advance(line.step),
                false => assert!(lines.pass().expect("read") > line.length),
            }
        }
        found
    }

    #[test]
    fn every_kind_of_line_end() {
        let whole = |text: &str| (text.as_bytes().to_vec(), true);
        let expected = vec![whole("a"), whole(""), whole("b\rc"), whole("d"), whole("e")];
        assert_eq!(lines(b"\xef\xbb\xbfa\n\r\nb\rc\nd\r\ne", 100), expected);
        assert_eq!(lines(b"", 100), vec![]);
        assert_eq!(lines(b"\n", 100), vec![whole("")]);
    }

    #[test]
    fn long_lines_are_seen_by_their_beginning() {
        let long = "x".repeat(Lines::READ_BYTES * 3);
        let text = format!("12345678\n{long}\n123456789\n{}", "y".repeat(20));
        let found = lines(text.as_bytes(), 8);
        let expected = [("12345678", true), ("xxxxxxxx", false), ("12345678", false)];
        for (found, (text, is_whole)) in found.iter().zip(expected) {
            assert_eq!(*found, (text.as_bytes().to_vec(), is_whole));
        }
        assert_eq!(found.len(), 4);
    }
}
