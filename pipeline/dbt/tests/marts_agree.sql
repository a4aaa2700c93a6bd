-- The three aggregated marts count the same orders and the same money. They are small, so every cycle can
-- afford it. Each total is read with its own watermark, so a build of a single mart is not an error: only
-- equal watermarks are compared.
with totals as (
    select
        'customers' as mart,
        max(last_order_id) as through,
        sum(orders) as orders,
        sum(total_revenue) as revenue
    from {{ ref('customers') }}
    union all
    select
        'daily_revenue' as mart,
        max(last_order_id) as through,
        sum(orders) as orders,
        sum(revenue) as revenue
    from {{ ref('daily_revenue') }}
    union all
    select
        'products' as mart,
        max(last_order_id) as through,
        null as orders, -- an order is counted with each of its products
        sum(total_revenue) as revenue
    from {{ ref('products') }}
)

select
    one.mart,
    other.mart as other_mart,
    one.through,
    one.orders,
    other.orders as other_orders,
    one.revenue,
    other.revenue as other_revenue
from totals as one
inner join totals as other
    on
        one.through = other.through
        and one.mart < other.mart
where
    one.revenue <> other.revenue
    or one.orders <> other.orders
