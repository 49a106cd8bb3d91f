//! Any bytes are an order log up to where it is torn: with its checksums as they are, and with
//! right ones around whatever the entries say.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pelton::checkpoint::order;

fn sealed(payloads: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for payload in payloads {
        bytes.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&blake3::hash(payload).as_bytes()[..8]);
        bytes.extend_from_slice(payload);
    }
    bytes
}

fuzz_target!(|payloads: Vec<&[u8]>| {
    let log = sealed(&payloads);
    let batches = order::parse(&log);
    assert!(batches.len() <= payloads.len());
    assert_eq!(order::parse(&sealed(&payloads[..batches.len()])), batches);
    if let Some(first) = payloads.first() {
        drop(order::parse(first));
        let torn = order::parse(&log[..log.len() - 1]);
        assert_eq!(torn, batches[..batches.len().min(payloads.len() - 1)]);
    }
});
