"""Recipe of the shipped King James model: data, tokenizer, network, training, export and evaluation."""
