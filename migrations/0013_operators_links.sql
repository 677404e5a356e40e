-- A link that an operator made for an account, whichever tenants trust it; it is worth nothing once they are none.
alter table password_links
    add column operator_id uuid references users on delete cascade;
