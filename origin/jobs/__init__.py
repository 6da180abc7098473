"""Jobs: films for orders, made in a process of their own with what the node's avatars leave of the machine."""
