-- Edge processes, as they ask for their snapshot: agents of web nodes dial tunnels to each that lives. Control processes
-- share what they know of them here.
create table edges (
    id uuid primary key,
    seen_at timestamptz not null default now()
);

-- Those who wait for an assignment wake when there is one more; one that is gone they learn by the clock.
create trigger edges_changed after insert on edges for each row execute function notify_policy();
