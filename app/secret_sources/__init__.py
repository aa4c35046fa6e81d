"""Where secrets are that are not kept here: files of the operator's, and Vault."""
