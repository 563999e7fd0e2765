"""The devices: golden model, simulator, and transformers as the reference above both."""
