"""What `finetui doctor` looks at, one file a part of the machine."""
