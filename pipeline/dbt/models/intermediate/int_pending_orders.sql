-- The cut of this build: orders that at least one mart has not counted yet. Everything later in the build is
-- derived from these rows, so an order that is committed meanwhile waits for the next build and all marts
-- stop at the same order.
select
    order_id,
    customer_id,
    region,
    status,
    ordered_at,
    order_date,
    total_amount
from {{ ref('stg_orders') }}
where order_id > {{ counted_by_every_mart() }}
