//! The wire contract, held against `contract.txt`: a change of a field's number, type or name breaks agents and
//! orchestrators that are out there, and has to be made knowingly.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

use std::path::Path;

use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorSet};

/// One line per field and method, in the order of the file.
fn contract() -> Vec<String> {
    let set = FileDescriptorSet::decode(quantrack_proto::FILE_DESCRIPTOR_SET).unwrap();
    let mut lines = Vec::new();
    for file in set.file.iter().filter(|file| file.package() == "quantrack.v1") {
        for message in &file.message_type {
            lines.extend(message.field.iter().map(|field| field_line(message, field)));
        }
        for service in &file.service {
            for method in &service.method {
                let stream = |streams: bool| if streams { "stream " } else { "" };
                lines.push(format!(
                    "rpc {}.{}({}{}) returns ({}{})",
                    service.name(),
                    method.name(),
                    stream(method.client_streaming()),
                    method.input_type(),
                    stream(method.server_streaming()),
                    method.output_type()
                ));
            }
        }
    }
    lines
}

fn field_line(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let kind = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().to_owned(),
        other => other.as_str_name().trim_start_matches("TYPE_").to_lowercase(),
    };
    let label = match field.label() {
        Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        _ => "",
    };
    format!("{}.{} = {}: {label}{kind}", message.name(), field.name(), field.number())
}

#[test]
fn the_contract_is_that_of_the_snapshot() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("contract.txt");
    let current = contract();
    assert!(current.len() > 50, "the contract has only {} lines", current.len());
    if std::env::var_os("UPDATE_CONTRACT").is_some() {
        std::fs::write(&path, current.join("\n") + "\n").unwrap();
    }
    let snapshot = std::fs::read_to_string(&path).unwrap();
    let snapshot: Vec<&str> = snapshot.lines().collect();
    let missing = |from: &[&str], other: &[String]| -> Vec<String> {
        let lines = from.iter().filter(|line| !other.iter().any(|o| o == *line));
        lines.map(|line| (*line).to_owned()).collect()
    };
    let gone = missing(&snapshot, &current);
    assert!(
        gone.is_empty(),
        "incompatible: gone or changed {gone:#?}. Agents in the field still speak this: keep the old field, or raise \
         API_VERSION and MIN_API_VERSION and run UPDATE_CONTRACT=1 cargo test -p quantrack-proto"
    );
    let current: Vec<&str> = current.iter().map(String::as_str).collect();
    let snapshot: Vec<String> = snapshot.iter().map(|line| (*line).to_owned()).collect();
    let new = missing(&current, &snapshot);
    assert!(
        new.is_empty(),
        "compatible additions {new:#?}: raise API_VERSION if a peer must know, then run UPDATE_CONTRACT=1 cargo test \
         -p quantrack-proto and commit contract.txt"
    );
}

#[test]
fn field_numbers_are_not_used_twice() {
    let set = FileDescriptorSet::decode(quantrack_proto::FILE_DESCRIPTOR_SET).unwrap();
    for message in set.file.iter().flat_map(|file| &file.message_type) {
        let mut numbers: Vec<i32> =
            message.field.iter().map(FieldDescriptorProto::number).collect();
        numbers.sort_unstable();
        if numbers.windows(2).any(|pair| pair[0] == pair[1]) {
            panic!("{} uses a number twice", message.name());
        }
    }
}
