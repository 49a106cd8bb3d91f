//! What is looked for in a record: the names of its fields, where each leads, and how large a
//! record may be.
//!
//! Bodies are trees of names (`card.country` is `country` inside `card`). Records of one stream
//! nearly always spell their names in one order, so each name remembers which wanted name followed
//! it last time; that one is tried before the hash table. The memory changes only the speed of a
//! look-up, never its result, and belongs to one reader: a `Names` can move to another thread but
//! not be shared.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use pelton_kernels::hash;

use super::binary::Fields;
use crate::config::Config;
use crate::config::layout::Layout;
use crate::schema::{Place, Schema};

/// The wanted names of a kind of record.
#[derive(Clone, Debug)]
pub struct Names {
    /// Objects whose names are known; the first is the body itself.
    objects: Vec<Object>,
    entries: Vec<Entry>,
    keys: Vec<usize>,
    headers: Vec<(Box<str>, usize)>,
    record_bytes_max: usize,
    /// Of a binary record.
    layout: Option<Fields>,
}

/// One object of the tree.
#[derive(Clone, Debug)]
struct Object {
    lookup: HashMap<Box<str>, EntryId, BuildHasherDefault<NameHasher>>,
    first: Cell<EntryId>,
    /// A field under this object, to blame when something else stands in its place.
    field: usize,
}

#[derive(Clone, Debug)]
struct Entry {
    name: Box<str>,
    lead: Lead,
    next: Cell<EntryId>,
}

/// Where a name leads.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Lead {
    /// The field that a scalar of this name fills.
    pub field: Option<usize>,
    /// The object that is stepped into.
    pub object: Option<ObjectId>,
}

/// Index of an object; the body is `ObjectId(0)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectId(u32);

/// Index of an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct EntryId(u32);

const NOTHING: EntryId = EntryId(u32::MAX);

impl Names {
    /// Records above this size are rejected unless [`Names::limit`] says otherwise: 1 MiB.
    pub const RECORD_BYTES_MAX: usize = 1 << 20;

    /// The fields of a schema, as they are found in messages.
    ///
    /// # Panics
    /// When two fields have the same place.
    #[must_use]
    pub fn new(schema: &Schema) -> Names {
        Names::of_places(schema.fields.iter().map(|field| &field.place))
    }

    /// The same, of the event records of a configuration.
    #[must_use]
    pub fn of_events(config: &Config) -> Names {
        let event = &config.event;
        let names = Names::new(&event.schema).limit(event.record_bytes_max);
        let body = event.schema.fields.iter().map(|field| match &field.place {
            Place::Body(name) => Some(name.as_str()),
            Place::Key | Place::Header(_) => None,
        });
        let body = body.enumerate().filter_map(|(index, name)| Some((index, name?)));
        match &config.layout {
            Some(layout) => names.laid_out(layout, body),
            None => names,
        }
    }

    /// The fields of a schema, as they are found in recordings: what was the key or a header of a
    /// message is in the body under the field's name.
    ///
    /// # Panics
    /// When two fields have the same name.
    #[must_use]
    pub fn of_recording(schema: &Schema) -> Names {
        let places: Vec<_> =
            schema.fields.iter().map(|field| Place::Body(field.name().to_owned())).collect();
        Names::of_places(&places)
    }

    /// The given places; the field of each is its index.
    ///
    /// A dotted path finds both the nested value and a name that is spelled with the dot.
    ///
    /// # Panics
    /// When two places are equal.
    #[must_use]
    pub fn of_places<'a>(places: impl IntoIterator<Item = &'a Place>) -> Names {
        let mut names = Names {
            objects: vec![Object::new(0)],
            entries: Vec::new(),
            keys: Vec::new(),
            headers: Vec::new(),
            record_bytes_max: Names::RECORD_BYTES_MAX,
            layout: None,
        };
        for (field, place) in places.into_iter().enumerate() {
            match place {
                Place::Body(path) => names.add(path, field),
                Place::Key => names.keys.push(field),
                Place::Header(name) => names.headers.push((name.as_str().into(), field)),
            }
        }
        names
    }

    /// The same with another limit on the size of a record.
    #[must_use]
    pub fn limit(mut self, record_bytes_max: usize) -> Names {
        self.record_bytes_max = record_bytes_max;
        self
    }

    /// The same for bodies that are binary, with these fields by their indices.
    #[must_use]
    pub fn laid_out<'a>(
        mut self,
        layout: &Layout,
        fields: impl Iterator<Item = (usize, &'a str)>,
    ) -> Names {
        self.layout = Some(Fields::new(layout, fields));
        self
    }

    /// Where the fields of a binary body are.
    #[must_use]
    pub fn layout(&self) -> Option<&Fields> {
        self.layout.as_ref()
    }

    /// The most bytes a record may have.
    #[must_use]
    pub fn record_bytes_max(&self) -> usize {
        self.record_bytes_max
    }

    /// Whether a message's headers are needed at all.
    #[must_use]
    pub fn has_headers(&self) -> bool {
        !self.headers.is_empty()
    }

    /// The fields filled by the key of a message.
    pub(super) fn keys(&self) -> &[usize] {
        &self.keys
    }

    /// The fields filled by the header of this name.
    pub(super) fn header_fields(&self, name: &str) -> impl Iterator<Item = usize> {
        self.headers.iter().filter(move |(wanted, _)| **wanted == *name).map(|&(_, field)| field)
    }

    /// The body itself.
    pub(super) fn body(&self) -> ObjectId {
        ObjectId(0)
    }

    /// A place to begin the walk through the names of `object`.
    pub(super) fn walk(&self, object: ObjectId) -> Walk<'_> {
        let object = self.object(object);
        Walk { names: self, object, link: &object.first }
    }

    /// A field under `object`.
    pub(super) fn field_under(&self, object: ObjectId) -> usize {
        self.object(object).field
    }

    fn object(&self, id: ObjectId) -> &Object {
        &self.objects[id.0 as usize]
    }

    fn add(&mut self, path: &str, field: usize) {
        let mut object = self.body();
        if path.contains('.') {
            let entry = self.entry(object, path);
            entry.lead.field = Some(entry.lead.field.unwrap_or(field));
        }
        let mut rest = path;
        while let Some((outer, inner)) = rest.split_once('.') {
            let fresh = ObjectId(number_of(self.objects.len()));
            let entry = self.entry(object, outer);
            object = *entry.lead.object.get_or_insert(fresh);
            if object == fresh {
                self.objects.push(Object::new(field));
            }
            rest = inner;
        }
        let replaced = self.entry(object, rest).lead.field.replace(field);
        assert!(replaced.is_none(), "field {field} has the place of another: {path}");
    }

    fn entry(&mut self, object: ObjectId, name: &str) -> &mut Entry {
        let fresh = EntryId(number_of(self.entries.len()));
        let lookup = &mut self.objects[object.0 as usize].lookup;
        let id = *lookup.entry(name.into()).or_insert(fresh);
        if id == fresh {
            let entry =
                Entry { name: name.into(), lead: Lead::default(), next: Cell::new(NOTHING) };
            self.entries.push(entry);
        }
        &mut self.entries[id.0 as usize]
    }
}

/// The walk through the names of one object of one record, in the order the record has them.
#[derive(Clone)]
pub(super) struct Walk<'n> {
    names: &'n Names,
    object: &'n Object,
    /// Where the wanted name that is expected next is remembered.
    link: &'n Cell<EntryId>,
}

impl Walk<'_> {
    /// Where `name` leads; `None` for a name that is not wanted.
    #[inline]
    pub fn step(&mut self, name: &str) -> Option<Lead> {
        let entries = &self.names.entries;
        if let Some(entry) = entries.get(self.link.get().0 as usize)
            && *entry.name == *name
        {
            self.link = &entry.next;
            return Some(entry.lead);
        }
        let &found = self.object.lookup.get(name)?;
        self.link.set(found);
        let entry = &entries[found.0 as usize];
        self.link = &entry.next;
        Some(entry.lead)
    }
}

impl Object {
    fn new(field: usize) -> Object {
        Object { lookup: HashMap::default(), first: Cell::new(NOTHING), field }
    }
}

fn number_of(count: usize) -> u32 {
    u32::try_from(count).expect("a schema has far fewer than 2^32 names")
}

/// wyhash of the text; the table is fixed by the configuration, so nobody can crowd it.
#[derive(Clone, Copy, Debug, Default)]
struct NameHasher(u64);

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.0 ^= hash::hash_bytes(bytes);
    }

    /// The end mark of a text, which is not needed as only whole texts are hashed.
    fn write_u8(&mut self, _: u8) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[&str]) -> Names {
        let places: Vec<_> = paths.iter().map(|&p| Place::Body(p.to_owned())).collect();
        Names::of_places(&places)
    }

    #[test]
    fn any_order_finds_the_same_fields() {
        let names = names(&["a", "b", "c"]);
        for order in ["abc", "cba", "bxac", "aabb", "xyz", "abc"] {
            let mut walk = names.walk(names.body());
            for name in order.chars() {
                let expected = "abc".find(name);
                let found = walk.step(&name.to_string()).and_then(|lead| lead.field);
                assert_eq!(found, expected, "{name} in {order}");
            }
        }
    }

    #[test]
    fn paths_step_into_objects() {
        let names = names(&["card.country", "card", "card.bank.name", "country"]);
        let card = names.walk(names.body()).step("card").expect("wanted");
        assert_eq!(card.field, Some(1));
        let card = card.object.expect("an object");
        assert_eq!(names.walk(card).step("country").and_then(|l| l.field), Some(0));
        let bank = names.walk(card).step("bank").and_then(|l| l.object).expect("an object");
        assert_eq!(names.walk(bank).step("name").and_then(|l| l.field), Some(2));
        assert_eq!(names.field_under(bank), 2);
        assert!(names.walk(bank).step("country").is_none());
        let flat = names.walk(names.body()).step("card.bank.name");
        assert_eq!(flat.and_then(|l| l.field), Some(2));
    }

    #[test]
    #[should_panic(expected = "the place of another")]
    fn one_place_has_one_field() {
        let _ = names(&["a", "b", "a"]);
    }
}
