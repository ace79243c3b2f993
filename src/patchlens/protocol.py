"""The version of the protocol, written into every cell and table."""

# Rises whenever a published number can change for another reason than params.yaml.
PROTOCOL_VERSION = 1
