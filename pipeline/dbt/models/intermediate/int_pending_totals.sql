-- Each pending order with the sums of its lines and its customer's sign-up: the rows that the money rules
-- are tested on before any mart is published.
with sums as (
    select
        order_id,
        count(*) as item_count,
        sum(quantity) as units,
        sum(quantity * unit_price) as gross_amount,
        sum(discount_amount) as discount_amount,
        sum(line_amount) as lines_amount
    from {{ ref('int_pending_lines') }}
    group by order_id
)

select
    orders.order_id,
    orders.customer_id,
    orders.region,
    orders.status,
    orders.ordered_at,
    orders.order_date,
    orders.total_amount,
    customers.signed_up_at as customer_signed_up_at,
    customers.region as customer_region,
    coalesce(sums.item_count, 0) as item_count,
    cast(coalesce(sums.units, 0) as bigint) as units,
    cast(coalesce(sums.gross_amount, 0) as decimal(18, 2)) as gross_amount,
    cast(coalesce(sums.discount_amount, 0) as decimal(18, 2)) as discount_amount,
    cast(coalesce(sums.lines_amount, 0) as decimal(18, 2)) as lines_amount
from {{ ref('int_pending_orders') }} as orders
left join sums
    on orders.order_id = sums.order_id
left join {{ ref('stg_customers') }} as customers
    on orders.customer_id = customers.customer_id
