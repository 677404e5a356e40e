-- Workers belong to a queue, whose tasks alone they take, and may be on another kind of machine than the installation's.

alter table nodes
    -- Workers recorded before this belong to `default`.
    add column queue         text check (queue ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$'),
    add column instance_type text,
    add constraint nodes_queue_is_a_workers check (queue is null or role = 'worker');
